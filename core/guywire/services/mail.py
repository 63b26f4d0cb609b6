"""Mail: handed in over SMTP, or written to the log where no server is set up for it."""

from __future__ import annotations

import logging
import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from guywire.settings import Settings

log = logging.getLogger(__name__)

_TIMEOUT = 30


def deliver(settings: Settings, to: str, subject: str, text: str) -> None:
    """Hand a mail in. It takes its time: only jobs do this. Raises OSError (smtplib's errors are such).

    Without ``guywire.smtp_url`` the whole mail goes to the log, secrets included: that is how one tries things out.
    """
    message = EmailMessage()
    message["From"] = settings.mail_from
    message["To"] = to
    message["Subject"] = subject
    message.set_content(text)
    if not settings.smtp_url:
        log.info("mail to=%s subject=%s (guywire.smtp_url is not set)\n%s", to, subject, text)
        return
    url = urlsplit(settings.smtp_url)
    is_tls = url.scheme == "smtps"
    with _connect(url.hostname or "localhost", url.port, is_tls=is_tls) as server:
        if not is_tls and server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
            server.ehlo()
            is_tls = True
        if url.username:
            if not is_tls:
                raise smtplib.SMTPException(
                    "guywire.smtp_url has a password, but the server offers no TLS to send it by"
                )
            server.login(unquote(url.username), unquote(url.password or ""))
        server.send_message(message)
    log.info("mail sent: subject=%s", subject)


def _connect(host: str, port: int | None, *, is_tls: bool) -> smtplib.SMTP:
    server: smtplib.SMTP
    if is_tls:
        server = smtplib.SMTP_SSL(host, port or 465, timeout=_TIMEOUT, context=ssl.create_default_context())
    else:
        server = smtplib.SMTP(host, port or 25, timeout=_TIMEOUT)
    server.ehlo()
    return server
