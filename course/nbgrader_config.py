"""nbgrader's settings, for those who work with it directly. `resnet-edu course` does not read this file."""

c = get_config()  # noqa: F821  nbgrader defines it

c.CourseDirectory.course_id = "residual-networks"
c.ExecutePreprocessor.timeout = 60  # seconds a cell may take; the default, 30, is near what a slow machine needs

# A warning, a progress bar or a log line on the error stream would otherwise cost all points of its test.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = "."

# Names in the downloads of Canvas (lovelaceada_LATE_1001_2002_hw1-1.ipynb) and Moodle, and Colab's "Copy of".
c.FileNameCollectorPlugin.named_regexp = (
    r".*?(?P<student_id>(?<=_)\d+(?=_\d+_)|\d+(?=_assignsubmission_file))"
    r"(?:_\d+)?_(?:assignsubmission_file_/?)?(?:Copy[ _+]of[ _+])?(?P<file_id>[\w-]+?)(?:-\d+| \(\d+\))?\.ipynb$"
)
