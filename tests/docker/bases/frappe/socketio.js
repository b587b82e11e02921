// The websocket server's place: answers over HTTP at its path.
const http = require("http");
const port = Number(process.env.SOCKETIO_PORT || 9000);
const server = http.createServer((request, response) => {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ websocket: request.url }) + "\n");
});
server.listen(port, "0.0.0.0");
process.on("SIGTERM", () => server.close(() => process.exit(0)));
