// The login page: a token becomes a session.

const form = document.getElementById("login");
const field = document.getElementById("token");
const problem = document.getElementById("problem");

/** Where to go afterwards: one of our own pages, whatever the address says. */
function next() {
  const asked = new URLSearchParams(location.search).get("next") ?? "/";
  return /^\/(runs\/\d+|leases|freezes|fleet|new)?$/.test(asked) ? asked : "/";
}

function complain(text) {
  problem.textContent = text;
  field.setAttribute("aria-invalid", "true");
  field.focus();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = field.value.trim();
  if (!token) {
    complain("Paste a token first.");
    return;
  }
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch("/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
    if (answer.ok) {
      field.value = "";
      location.replace(next());
      return;
    }
    const said = await answer.json().catch(() => ({}));
    complain(said.detail ?? `The server answered ${answer.status}.`);
  } catch {
    complain("The server does not answer; try again.");
  }
  button.disabled = false;
});

field.focus();
