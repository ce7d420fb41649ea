# The server over HTTP, in a small image: no root, and one folder that it writes to. docs/hosting.md says how to run it.

# A tag moves, and no digest is written down here, which nobody would update. To build from an image that does not move:
#   docker build --build-arg "PYTHON_IMAGE=python@$(docker buildx imagetools inspect python:3.13-slim --format '{{.Manifest.Digest}}')" .
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /app
RUN ["python", "-m", "venv", "--without-pip", ".venv"]
COPY pyproject.toml README.md LICENSE /source/
COPY blaxel_mcp /source/blaxel_mcp
RUN ["python", "-m", "pip", "--python", ".venv", "install", "--no-cache-dir", "/source[otel,redis]"]

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="blaxel-mcp" \
      org.opencontainers.image.description="An MCP server that gives an agent one tool per Blaxel model API." \
      org.opencontainers.image.licenses="MIT"
# The budget's ledger, the list of models and long answers go there, below a folder of the user's own. Anybody may
# write to it, as to /tmp, so that `--user` can name another user.
RUN ["install", "--directory", "--mode=1777", "/state"]
COPY --from=build /app /app
# As on Blaxel, so that the words of blaxel.toml start the server here too.
WORKDIR /app
ENV HOME=/state \
    HOST=0.0.0.0 \
    PORT=8080 \
    PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
VOLUME ["/state"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["/app/.venv/bin/python", "-P", "-c", "import http.client, os, sys; probe = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); probe.request('GET', '/healthz'); sys.exit(probe.getresponse().status != 200)"]
ENTRYPOINT ["/app/.venv/bin/blaxel-mcp"]
CMD ["serve", "--transport", "http"]
