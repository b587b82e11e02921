// The websocket server's place: answers over HTTP at its path. As the real one it has no word on SIGTERM, so that it is ended by
// that, or, as PID 1, does not notice.
const http = require("http");
const port = Number(process.env.SOCKETIO_PORT || 9000);
const server = http.createServer((request, response) => {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ websocket: request.url }) + "\n");
});
server.listen(port, "0.0.0.0");
