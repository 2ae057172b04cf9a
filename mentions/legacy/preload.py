"""What the import's workers are made of, loaded once by the process they are forked from.

Importing this module sets up the applications whose documents the import writes, unless Django is
set up already. The admin, the API and their packages stay out: half of the memory of a worker.
"""

import gc

from django.apps import apps
from django.conf import settings
from django.utils.log import configure_logging

_APPLICATIONS = (
    "autores.apps.AutoresConfig",
    "autores.apps.MongoAuthConfig",
    "autores.apps.MongoContentTypesConfig",
    "accounts.apps.AccountsConfig",
    "mentions.apps.MentionsConfig",
)

if not apps.ready:
    configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
    apps.populate(_APPLICATIONS)

from mentions.legacy import chunks  # noqa: E402, F401 - needs the models

# Pages that no collection walks over stay shared.
gc.freeze()
# A chunk makes and drops ten thousand tuples and no cycle. To look for one after each 700 takes a
# fifteenth of the time.
gc.set_threshold(200_000)
