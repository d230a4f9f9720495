---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ${APP_NAME}
  annotations:
    acme.example/deployed-by: "${DEPLOYED_BY}"
    acme.example/release: "${RELEASE}"
spec:
  replicas: ${REPLICAS}
  selector:
    matchLabels: {app: "${APP_NAME}"}
  template:
    metadata:
      labels: {app: "${APP_NAME}"}
    spec:
      containers:
        - name: app
          image: "$IMAGE"
          env:
            - {name: LOG_LEVEL, value: "${LOG_LEVEL}"}
            - name: SMTP_PASSWORD
              valueFrom: {secretKeyRef: {name: "${APP_NAME}-smtp", key: password}}
          volumeMounts:
            - {name: nginx, mountPath: /etc/nginx/conf.d}
      volumes:
        - name: nginx
          configMap: {name: "${APP_NAME}-nginx"}
