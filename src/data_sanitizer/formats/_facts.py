"""What the exact scanner tells of fields and records, as numbers."""

from __future__ import annotations

PLAIN, QUOTED, REWRITE, STRAY, OPEN, MORE = 0, 1, 2, 3, 4, 9  # forms of a field, from harmless to odd; MORE: its end is not in the data yet
START, END, FIELDS, FORM, KEPT, LINES, FACTS = 0, 1, 2, 3, 4, 5, 6  # facts of a record: bytes, fields, worst form, 1 where kept, lines
BLANK = -1  # as the number of fields: a line without content, which is no record
