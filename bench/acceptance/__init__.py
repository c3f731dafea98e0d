"""Everything that is promised about speed, held against its bound.

``python -m bench.acceptance``, from the top of a checkout. `targets` is the table and the verdicts,
`grid` takes points from the grid of `simdrnn bench`, `reading` measures what memory delivers;
`latency`, `thread_count`, `ragged`, `variants`, `step_options` and `memory` measure the other rows
(by `alternate`, in one process, as both sides of a ratio are ours; `layers` is what they share).
`run` runs them, `verdicts` prints, `curves` draws and `record` keeps what came out.
"""
