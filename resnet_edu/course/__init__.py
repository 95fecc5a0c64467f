"""Assignments for classes: build, check, collect, grade, give feedback, export.

A course is a folder as nbgrader has it; one notebook an assignment, ``source/NAME/NAME.ipynb``, is the only source::

    source/NAME/NAME.ipynb                   with solutions and hidden tests; keep it from students
    release/NAME/NAME.ipynb                  what students get (build)
    submitted/STUDENT/NAME/NAME.ipynb        what they hand in (collect)
    results/NAME/STUDENT.json, marks.csv     points, messages, marks that a person gave (grade)
    dist/gradescope/NAME.zip                 the autograder, with hidden tests (build)
    feedback/STUDENT/NAME/NAME.html          one page a student (feedback)
    roster.csv                               who is expected (collect --roster)

``notebooks`` reads assignments; ``submissions`` and ``answers`` find what is whose in a student's notebook;
``worker`` runs in the sandbox that ``sandbox`` makes; ``running`` drives it through one submission, ``grading`` says
what came of it, ``classroom`` does so for a class. ``downloads``, ``collecting`` and ``roster`` bring submissions in,
``marking``, ``feedback`` and ``exporting`` results out; ``tables`` are what people open in a spreadsheet. Nothing here
needs nbgrader; nbgrader works on the same tree.
"""
