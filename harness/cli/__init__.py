"""The command line: options in, exit code out. A module per command.

May import everything. What a command does is in `harness.engine`, how it looks in `harness.report`; only this
package ends the program.
"""
