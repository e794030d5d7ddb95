"""What an activity is: the record as a value, and the rules that make any input one."""
