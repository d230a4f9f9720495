{{/* What the embedded Redis reads: its settings, its users and how it starts. */}}
{{- define "towline.redisFiles" -}}
{{- $v := .Values.redis.embedded -}}
{{- $tls := ne .Values.tls.mode "off" -}}
redis.conf: |
  dir /data
  appendonly yes
  appendfsync everysec
  save ""
  # When memory is full, writes are refused and no job is lost.
  maxmemory-policy noeviction
  {{- with $v.maxMemory }}
  maxmemory {{ . }}
  {{- end }}
  {{- if $tls }}
  port 0
  tls-port 6379
  tls-cert-file /etc/towline/tls/tls.crt
  tls-key-file /etc/towline/tls/tls.key
  tls-auth-clients no
  {{- else }}
  port 6379
  {{- end }}
users: |
  {{- range list "tunnel" "runner" "scaler" }}
  {{ . }} {{ include "towline.redisRules" (dict "root" $ "name" .) }}
  {{- end }}
start.sh: |
  # Nobody can come in as the user default. Redis itself does: it reads its file
  # back as that user, and would leave out every transaction that it may not do.
  # The user health can ask whether Redis answers and nothing else, keeper can
  # have it read its files again; its password is made here and stays here.
  set -euf
  umask 077
  keeper=$(head -c 32 /dev/urandom | sha256sum | cut -d' ' -f1)
  users() {
    { echo "user default off resetpass allkeys allchannels allcommands"
      echo "user health on nopass resetchannels -@all +ping +hello +auth"
      echo "user keeper on >$keeper resetchannels -@all +hello +auth +config|set +acl|load"
      while read -r user rules; do
        passwords=""
        for file in "$PASSWORDS/$user-password" "$PASSWORDS/$user-password-next" "$PASSWORDS/$user-password-previous"; do
          if [ -s "$file" ]; then
            passwords="$passwords #$(tr -d '\n' <"$file" | sha256sum | cut -d' ' -f1)"
          fi
        done
        echo "user $user on$passwords $rules"
      done <"$CONFIG/users"
    } >"$RUN/users.new"
    mv "$RUN/users.new" "$RUN/users.acl"
  }
  digest() { cat "$@" | sha256sum; }
  # again has Redis read something again; who is connected stays, or comes back.
  again() {
    what=$1
    shift
    if [ "$(REDISCLI_AUTH="$keeper" redis-cli -p "$PORT" --user keeper --no-auth-warning{{ if $tls }} --tls --insecure{{ end }} "$@")" = OK ]; then
      echo "the $what is read again"
    else
      echo "the $what cannot be read again; what was read before counts" >&2
      return 1
    fi
  }
  follow() {
    while sleep "$INTERVAL" && kill -0 $$ 2>/dev/null; do
      users || continue
      now=$(digest "$RUN/users.acl")
      if [ "$now" != "$loaded" ] && again "list of passwords" acl load; then loaded=$now; fi
      {{- if $tls }}
      now=$(digest "$CERTIFICATE/tls.crt" "$CERTIFICATE/tls.key") || continue
      if [ "$now" != "$shown" ] && again certificate config set tls-cert-file "$CERTIFICATE/tls.crt" tls-key-file "$CERTIFICATE/tls.key"; then shown=$now; fi
      {{- end }}
    done
  }
  users
  loaded=$(digest "$RUN/users.acl")
  {{- if $tls }}
  shown=$(digest "$CERTIFICATE/tls.crt" "$CERTIFICATE/tls.key")
  {{- end }}
  follow &
  exec redis-server "$CONFIG/redis.conf" --aclfile "$RUN/users.acl"
{{- end -}}
