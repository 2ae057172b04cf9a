"""Tells the operators, by mail and webhook, what they must know; the log has it in any case."""

import logging
import smtplib
import threading

from django.conf import settings
from django.core.mail import mail_admins

logger = logging.getLogger(__name__)

_WEBHOOK_SECONDS = 10


def send_alert(subject: str, text: str) -> threading.Thread | None:
    """Send in the background: whoever finds the trouble holds a lease, and must go on.

    The thread, or None when nobody is to be told (ALERT_EMAILS, ALERT_WEBHOOK_URL).
    """
    if not settings.ADMINS and not settings.ALERT_WEBHOOK_URL:
        return None
    thread = threading.Thread(target=_send, args=(subject, text), name="alert")
    thread.start()
    return thread


def _send(subject: str, text: str) -> None:
    # Not needed by processes that tell nobody, such as those of an import.
    import requests

    if settings.ADMINS:
        try:
            mail_admins(subject, text)
        except (OSError, smtplib.SMTPException) as error:
            logger.error("The alert was not mailed: %s", type(error).__name__)  # noqa: TRY400 - an address may stand in the traceback
    if settings.ALERT_WEBHOOK_URL:
        try:
            requests.post(
                settings.ALERT_WEBHOOK_URL,
                json={"text": f"{subject}: {text}"},
                timeout=_WEBHOOK_SECONDS,
            ).raise_for_status()
        except requests.RequestException as error:
            # The address is a secret: whoever knows it may write there.
            logger.error("The alert's webhook failed: %s", type(error).__name__)  # noqa: TRY400
