"""From sources to the rows that are trained on; no step holds all rows in memory.

Sources are cut into units of work (`units`). Each unit is cleaned and written as sorted chunks (`cleaning`, `rows`,
`chunks`). Duplicates are found by range of hashes (`duplicates`, `near_duplicates`), and the held-out set is chosen
from a sample of bounded size (`heldout`). `gather` runs these steps on one machine.
"""
