#!/bin/sh
# Run a command with the settings and the user of one-runtime.service. For example: one-runtime.sh doctor
set -eu
settings=${ONE_RUNTIME_ETC:-/etc/one-runtime}
# Parse the file as systemd does. A shell would execute the values, and a value can contain spaces. `read` and systemd
# both remove spaces at the start and the end of a line.
while read -r line || [ -n "$line" ]; do
    case $line in [A-Z]*=*) export "$line" ;; esac
done < "$settings/one-runtime.env"
ONE_RUNTIME_ENCRYPTION_KEYS=$(cat "$settings/encryption-keys")
# The caller can set the URL of another database, such as a backup. Then remove the direct URL of the service's
# database.
if [ -n "${ONE_RUNTIME_DATABASE_URL:-}" ]; then
    unset ONE_RUNTIME_DATABASE_DIRECT_URL
else
    ONE_RUNTIME_DATABASE_URL=$(cat "$settings/database-url")
fi
export ONE_RUNTIME_ENCRYPTION_KEYS ONE_RUNTIME_DATABASE_URL
unset ONE_RUNTIME_ETC
# The audit log names the person who runs the command, not the service's user.
: "${ONE_RUNTIME_OPERATOR:=${SUDO_USER:-$(logname 2>/dev/null || id -un)}}"
export ONE_RUNTIME_OPERATOR
# systemd creates this folder at the first start of the service. A command before the first start needs the folder too.
[ -d /var/lib/one-runtime ] || install -d -o one-runtime -g one-runtime -m 700 /var/lib/one-runtime
cd /var/lib/one-runtime
exec runuser -u one-runtime -- /opt/one-runtime/.venv/bin/one-runtime "$@"
