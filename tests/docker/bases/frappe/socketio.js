// The websocket server's place: answers over HTTP at its path. As the real one it has no word on SIGTERM, so that it is ended by
// that, or, as PID 1, does not notice; and it asks the application who somebody is, at the Origin, which has to be the Host's name.
const http = require("http");
const port = Number(process.env.SOCKETIO_PORT || 9000);

const nameOf = (address) => (address || "").replace(/^[a-z]+:\/\//, "").split("/")[0].split(":")[0];

async function who({ headers }) {
    const sid = /(?:^|; )sid=([^;]+)/.exec(headers.cookie || "");
    if (!sid) return { error: "no cookie" };
    if (nameOf(headers.host) !== nameOf(headers.origin)) return { error: "invalid origin" };
    const answer = await fetch(`${headers.origin}/api/method/frappe.realtime.get_user_info?sid=${sid[1]}`);
    return { site: nameOf(headers["x-frappe-site-name"]), ...(await answer.json()).message };
}

const server = http.createServer(async (request, response) => {
    const answer = await who(request).catch((error) => ({ error: `${error}: ${error.cause}` }));
    response.setHeader("Content-Type", "application/json");
    response.setHeader("Access-Control-Allow-Origin", request.headers.origin || "*");
    response.end(JSON.stringify({ websocket: request.url, ...answer }) + "\n");
});
server.listen(port, "0.0.0.0");
