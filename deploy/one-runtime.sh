#!/bin/sh
# Runs a command of one-runtime with the settings and the user of one-runtime.service: one-runtime.sh doctor
set -eu
settings=${ONE_RUNTIME_ETC:-/etc/one-runtime}
# Parsed like systemd does, not executed: a value may contain spaces.
while IFS= read -r line || [ -n "$line" ]; do
    case $line in [A-Z]*=*) export "$line" ;; esac
done < "$settings/one-runtime.env"
ONE_RUNTIME_ENCRYPTION_KEYS=$(cat "$settings/encryption-keys")
ONE_RUNTIME_DATABASE_URL=$(cat "$settings/database-url")
export ONE_RUNTIME_ENCRYPTION_KEYS ONE_RUNTIME_DATABASE_URL
unset ONE_RUNTIME_ETC
cd /var/lib/one-runtime
exec runuser -u one-runtime -- /opt/one-runtime/.venv/bin/one-runtime "$@"
