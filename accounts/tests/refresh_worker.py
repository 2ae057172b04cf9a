"""A worker process of the race test: for each line on stdin, get a token; for "call", use it too.

Answers one line each: the SHA-256 of the token, and the name X knows it by, or the error's code.
"""

import hashlib
import sys

import django


def main(account_id: str) -> None:
    django.setup()
    from accounts.clients import call_x
    from accounts.errors import AccountError
    from accounts.models import TwitterAccount
    from accounts.tokens import access_token_for
    from autores.x.errors import XError

    print("ready", flush=True)
    for line in sys.stdin:
        account = TwitterAccount.objects.get(pk=account_id)
        try:
            token = access_token_for(account)
            is_call = line.strip() == "call"
            name = call_x(account, lambda x: x.get_me()).username if is_call else "-"
        except (AccountError, XError) as error:
            print(f"error {error.code}", flush=True)
        else:
            print(f"{hashlib.sha256(token.encode()).hexdigest()} {name}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
