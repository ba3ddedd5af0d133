"""A mail server for tests: takes mails and prints each as a line of JSON; what else it does hangs on the recipient's name.

refused@…  is refused for ever        busy@…  is put off        slow@…  is never answered        mute@…  gets no goodbye

Arguments: the port (0 is a free one), then, for a server that wants STARTTLS and a log-in: certificate, key, user, password.
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult


warnings.simplefilter("ignore")


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        if name == "refused":
            return "550 no such mailbox"
        if name == "busy":
            return "451 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if any(address.startswith("slow@") for address in envelope.rcpt_tos):
            await asyncio.sleep(3600)
        envelope_to = envelope.rcpt_tos
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        told = {
            "to": envelope.rcpt_tos,
            "from": envelope.mail_from,
            "headers": {name.lower(): str(value) for name, value in message.items()},
            "text": message.get_body(("plain",)).get_content().replace("\r\n", "\n"),
            "html": message.get_body(("html",)).get_content(),
            "tls": session.ssl is not None,
            "authenticated": session.authenticated,
        }
        print(json.dumps(told), flush=True)
        session.is_mute = any(address.startswith("mute@") for address in envelope_to)
        return "250 OK"

    async def handle_QUIT(self, server, session, envelope):
        if getattr(session, "is_mute", False):
            await asyncio.sleep(3600)
        return "221 Bye"


def settings(arguments):
    if not arguments:
        return {}
    certificate, key, user, password = arguments
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    def authenticate(server, session, envelope, mechanism, data):
        good = data.login == user.encode() and data.password == password.encode()
        return AuthResult(success=good, handled=False)

    return {
        "tls_context": context,
        "require_starttls": True,
        "authenticator": authenticate,
        "auth_required": True,
    }


async def main():
    port, options = int(sys.argv[1]), settings(sys.argv[2:])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Handler(), hostname="localhost", **options), "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
