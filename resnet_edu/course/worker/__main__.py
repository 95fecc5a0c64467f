"""``python -m resnet_edu.course.worker``: serve the requests on standard input."""

from resnet_edu.course.worker.warden import main

main()
