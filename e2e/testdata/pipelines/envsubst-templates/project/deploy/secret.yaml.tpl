---
apiVersion: v1
kind: Secret
metadata:
  name: ${APP_NAME}-smtp
type: Opaque
data:
  password: ${SMTP_PASSWORD_B64}
