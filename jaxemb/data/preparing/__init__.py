"""From gathered rows to shards: chunks are tokenized one by one (`tokens`), and what is trained on is written lane by
lane (`writing`) to its place (`output`). `local` runs these steps on one machine.
"""
