"""One table of several benchmarks: sections × splits × systems, each with what it cost and how it was trained."""
