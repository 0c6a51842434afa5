"""Cohorts: many sections with one command, each stage of each section a task that can be repeated."""
