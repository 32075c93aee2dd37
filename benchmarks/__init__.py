"""Side-by-side measurements of the service against what would be used instead of it.

`python -m benchmarks` (`make bench`) runs all of them and writes docs/benchmarks.md. Every target
is a ratio of two things measured in turns within one run on the same work, because absolute times
say more about a machine than about a program.
"""
