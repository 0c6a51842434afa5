"""Networks of the methods; imported where they are used, because torch is slow to import."""
