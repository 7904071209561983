"""stub"""
VERSION = 1
OPTIONS = {}
def plan(column, profile, options): return None
