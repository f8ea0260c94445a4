# Stand-ins for the public base images, made by .ci/containers of Debian's packages and this machine's CPython.
FROM debian:bookworm-local AS packages
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends ca-certificates wget && rm -rf /var/lib/apt/lists/*
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt

FROM packages AS python
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends libssl3 libffi8 libsqlite3-0 zlib1g libbz2-1.0 \
    liblzma5 libreadline8 libncursesw6 libuuid1 libexpat1 netbase tzdata && rm -rf /var/lib/apt/lists/*
COPY usr/local /usr/local
RUN ldconfig && python3.12 -m ensurepip && ln -sf python3.12 /usr/local/bin/python && ln -sf pip3.12 /usr/local/bin/pip
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt
CMD ["python3"]

FROM packages AS postgres
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends postgresql-15 && rm -rf /var/lib/apt/lists/* \
    && mkdir -p /var/lib/postgresql/data && chown postgres: /var/lib/postgresql/data
ENV PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data
COPY postgres_entrypoint /usr/local/bin/
USER postgres
ENTRYPOINT ["postgres_entrypoint"]

FROM packages AS gateway
COPY versitygw /usr/local/bin/
ENTRYPOINT ["versitygw"]
