"""What gunicorn reads by itself when it starts in this folder; its command line wins."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autores.settings")

logger_class = "autores.observability.webserver.RedactingLogger"
# Without the query, which may hold a reply's text or an OAuth code: method, path, status, size,
# milliseconds, and the id under which the other log lines of the request stand.
access_log_format = "%(h)s %(m)s %(U)s %(s)s %(B)s bytes %(M)s ms [%({x-request-id}o)s]"
