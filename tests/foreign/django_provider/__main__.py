"""A minimal Django project with django-oauth-toolkit, on a free port of loopback, until standard input ends.

`python -m tests.foreign.django_provider --folder F --people JSON --access-token-seconds 5`

PKCE is required, refresh tokens rotate, and one that is used again ends its family. Django's own middleware sends its
pages with `Cross-Origin-Opener-Policy: same-origin`. Clients register themselves (RFC 7591).
"""

import argparse
import copy
import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import django  # type: ignore[import-untyped]
import uvicorn
from django.conf import settings  # type: ignore[import-untyped]
from django.core.asgi import get_asgi_application  # type: ignore[import-untyped]
from django.core.management import call_command  # type: ignore[import-untyped]

TEMPLATES = Path(__file__).parent / "templates"
APPS = ("django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "oauth2_provider")


def settings_for(folder: Path, access_token_seconds: int) -> dict[str, Any]:
    """Return the project's settings, with its database in this folder."""
    return {
        "ALLOWED_HOSTS": ["127.0.0.1"],
        "DATABASES": {
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": folder / "django.db",
                # A deferred transaction that reads first fails at its first write, if another has written meanwhile.
                "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 30},
            }
        },
        "INSTALLED_APPS": APPS,
        "LOGIN_URL": "/login/",
        "MIDDLEWARE": [
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
        "MIGRATION_MODULES": {app.rpartition(".")[2]: None for app in APPS},  # faster: no migrations
        "OAUTH2_PROVIDER": {
            "ACCESS_TOKEN_EXPIRE_SECONDS": access_token_seconds,
            "DCR_ENABLED": True,
            "DCR_REGISTRATION_PERMISSION_CLASSES": ("oauth2_provider.dcr.AllowAllDCRPermission",),
            "PKCE_REQUIRED": True,
            "REFRESH_TOKEN_REUSE_PROTECTION": True,
            "ROTATE_REFRESH_TOKEN": True,
            "SCOPES": {"read": "See your name", "write": "Change your name"},
        },
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],  # fast, for test passwords
        "ROOT_URLCONF": "tests.foreign.django_provider.urls",
        "SECRET_KEY": "of-a-server-that-lives-for-a-test",
        "STATIC_URL": "/static/",
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [TEMPLATES],
                "APP_DIRS": True,
                "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
            }
        ],
        "USE_TZ": True,
    }


def seed(people: list[dict[str, str]]) -> None:
    """Create the tables and the people's accounts."""
    from django.contrib.auth import get_user_model  # type: ignore[import-untyped]  # noqa: PLC0415 - after Django's settings

    call_command("migrate", run_syncdb=True, verbosity=0)
    for person in people:
        get_user_model().objects.create_user(person["name"], person["email"], person["password"])


def logging_to_stderr() -> dict[str, Any]:
    """Return uvicorn's logging on standard error; standard output has only the line with the URL."""
    config = copy.deepcopy(uvicorn.config.LOGGING_CONFIG)
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    return config


def end_with_standard_input() -> None:
    """Exit when standard input ends, which is when the tests end."""
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--people", type=json.loads, required=True)
    parser.add_argument("--access-token-seconds", type=int, required=True)
    options = parser.parse_args()
    settings.configure(**settings_for(options.folder, options.access_token_seconds))
    django.setup()
    seed(options.people)
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    config = uvicorn.Config(get_asgi_application(), log_config=logging_to_stderr(), lifespan="off")
    # `create_server` sets SO_REUSEADDR. Then the kernel can select a port that another program is about to use.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}) + "\n")
        sys.stdout.flush()
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
