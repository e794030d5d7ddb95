"""What takes records away: retention by age, and erasure of a person."""
