// The token is in the fragment, which the browser sends nowhere. It is taken out
// of the address bar, and so of the history.
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

const said = document.getElementById("said");
const buttons = [document.getElementById("opt-in"), document.getElementById("opt-out")];

async function answer(way, thanks) {
  buttons.forEach((b) => { b.disabled = true; });
  said.textContent = "…";
  try {
    const reply = await fetch("/api/contacts/" + way, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
    said.textContent = reply.ok ? thanks
      : reply.status === 404 ? "This link is no longer valid."
      : "That did not work. Please try again in a moment.";
  } catch {
    said.textContent = "There is no connection. Please try again in a moment.";
  }
  buttons.forEach((b) => { b.disabled = false; });
}

if (token) {
  buttons[0].onclick = () => answer("opt-in", "Thank you. You will be told if something happens.");
  buttons[1].onclick = () => answer("opt-out", "Understood. You will not be written to.");
  buttons.forEach((b) => { b.disabled = false; });
} else {
  said.textContent = "Please open the link in your invitation again.";
}
