# Schoolgate in a container, on the official image of the runtime it needs.
FROM node:24-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts

FROM node:24-slim
WORKDIR /app
ENV NODE_ENV=production NODE_COMPILE_CACHE=/data/compile-cache
COPY --from=packages /app/node_modules ./node_modules
COPY package.json ./
COPY src ./src
COPY config ./config
COPY blocklists ./blocklists
# State lives in a volume; the image itself stays as it was built.
RUN mkdir /data && chown node:node /data
VOLUME /data
USER node
EXPOSE 1053/udp 1053/tcp 3128/tcp 8080/tcp
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["node", "src/main.ts", "health", "--data", "/data"]
# node is called directly, so that signals arrive.
CMD ["node", "--max-semi-space-size=8", "src/main.ts", "serve", "--config", "/app/config/gateway.yaml", "--data", "/data"]
