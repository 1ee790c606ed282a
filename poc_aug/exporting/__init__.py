"""Export: composed frames as files in the layouts that other programs read.

In it: frames on their way to files, what a layout is, the layouts, and the job that writes them.
May import: labels, types.
Gives: `ExportedFrame`, `ExportLayout`, `ExportPlan`.
"""
