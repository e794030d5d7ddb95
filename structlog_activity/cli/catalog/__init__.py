"""The verbs that source code uses: the command ``catalog``, and how it reads code."""
