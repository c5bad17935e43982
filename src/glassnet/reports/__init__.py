"""Write self-contained HTML reports on a model or a comparison.

Read in this order: report, scores, mistakes, reasons, network, comparison_page; then the rest.
May import: `explain`, `figures` and what is below them in ARCHITECTURE.md.
Private: import public names from `glassnet` itself.
"""
