"""Assignments for classes: build, check, collect, grade, give feedback, export.

A course is a folder as nbgrader has it; one notebook an assignment, ``source/NAME/NAME.ipynb``, is the only source::

    source/NAME/NAME.ipynb                   with solutions and hidden tests; keep it from students
    release/NAME/NAME.ipynb                  what students get (build)
    submitted/STUDENT/NAME/NAME.ipynb        what they hand in (collect)
    results/NAME/STUDENT.json, marks.csv     points, messages, marks of the questions that a person reads (grade)
    feedback/STUDENT/NAME/NAME.html          one page a student (feedback)
    roster.csv                               who is expected (collect --roster)

``notebooks`` reads assignments and finds a student's answers, ``worker`` runs in the sandbox that ``sandbox`` makes,
``grading`` drives it. Nothing here needs nbgrader; nbgrader works on the same tree.
"""
