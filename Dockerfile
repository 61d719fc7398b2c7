# The model is trained in the build; the image that runs holds what serving needs and nothing else.

FROM python:3.11-slim AS training
WORKDIR /app
COPY requirements-training.txt ./
RUN python -m venv /opt/training \
 && /opt/training/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-training.txt
COPY model ./model
COPY training ./training
RUN /opt/training/bin/python -m training retrain --registry /app/var/registry \
 && chown -R 10001:10001 /app/var

FROM python:3.11-slim AS packages
WORKDIR /app
COPY requirements.txt ./
RUN python -m venv --without-pip /opt/vigie \
 && pip --python /opt/vigie/bin/python install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt
COPY model ./model
COPY service ./service
RUN /opt/vigie/bin/python -m compileall -q -j 0 /app

FROM python:3.11-slim
LABEL org.opencontainers.image.title="Vigie" \
      org.opencontainers.image.description="Tags news about the moderation of online platforms" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=packages /opt/vigie /opt/vigie
COPY --from=packages /app /app
COPY --from=training --chown=10001:10001 /app/var /app/var
ENV PATH=/opt/vigie/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    VIGIE_HOST=0.0.0.0
WORKDIR /app
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ.get(\"VIGIE_PORT\", 8000)}/readyz', timeout=2)"]
ENTRYPOINT ["python", "-m", "service"]
CMD ["serve"]
