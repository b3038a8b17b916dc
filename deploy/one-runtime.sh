#!/bin/sh
# Any command of one-runtime with the settings of one-runtime.service, as its user: one-runtime.sh doctor
set -eu
settings=${ONE_RUNTIME_ETC:-/etc/one-runtime}
set -a
. "$settings/one-runtime.env"
ONE_RUNTIME_ENCRYPTION_KEYS=$(cat "$settings/encryption-keys")
ONE_RUNTIME_DATABASE_URL=$(cat "$settings/database-url")
set +a
unset ONE_RUNTIME_ETC
cd /var/lib/one-runtime
exec runuser -u one-runtime -- /opt/one-runtime/.venv/bin/one-runtime "$@"
