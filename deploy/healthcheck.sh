#!/bin/bash
# Asks the process's internal listener whether it is ready. Bash alone, because the image has no HTTP client.
case ${KITH_BINARY:-} in
    svc-im-auth) address=$KITH__IM_AUTH__INTERNAL_LISTEN ;;
    svc-terminal-user) address=$KITH__TERMINAL_USER__INTERNAL_LISTEN ;;
    svc-groups) address=$KITH__GROUPS__INTERNAL_LISTEN ;;
    svc-friends) address=$KITH__FRIENDS__INTERNAL_LISTEN ;;
    *) address=$KITH__GATEWAY__INTERNAL_LISTEN ;;
esac
exec 3<>"/dev/tcp/127.0.0.1/${address##*:}" || exit 1
printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
read -r -t 2 _ status _ <&3
[ "$status" = 200 ]
