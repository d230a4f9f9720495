server {
    listen 8080;
    server_name ${APP_NAME}.acme.example;
    error_log /dev/stderr ${LOG_LEVEL};
    location / {
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_pass http://127.0.0.1:9000;
    }
}
