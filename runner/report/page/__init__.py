"""The page of a matrix: one file of HTML that needs no other, with each counterexample as a sequence diagram.

What stands in the table is made here; what a cell opens is data, which the script of the page draws.
"""

from longpin.runner.report.page.write import PAGE, write_page

__all__ = ["PAGE", "write_page"]
