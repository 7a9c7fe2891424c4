# The page on a server: see docs/hosting.md.
FROM python:3.12.12-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    CHARRNN_HOSTED=1 \
    CHARRNN_CHECKPOINTS=/data/checkpoints \
    CHARRNN_CACHE=/data/cache \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860

WORKDIR /app
COPY requirements.txt ./
RUN pip install -r requirements.txt

COPY app.py ./
COPY charrnn ./charrnn
COPY checkpoints/shakespeare ./checkpoints/shakespeare
COPY checkpoints/python ./checkpoints/python

# runs, models and downloaded texts outlive the container; no one else's files are ours
RUN useradd --uid 1000 --create-home page \
    && mkdir -p /data/checkpoints /data/cache \
    && chown -R page /data
VOLUME /data
USER page

EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/gradio_api/app_id', timeout=8)"]
CMD ["python", "app.py"]
