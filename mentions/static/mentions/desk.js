// The desk: how long the text is for X, and a look at whether a reply under way has arrived.
(function () {
  const data = JSON.parse(document.getElementById("desk-data").textContent);
  const box = document.getElementById("desk-text");
  const out = document.getElementById("desk-count");
  const headers = { Accept: "application/json" };

  // Sentences of a preflight that the page does not show already.
  function hint(list, body) {
    list.replaceChildren(
      ...body.refusals
        .filter((refusal) => !data.shown.includes(refusal.code))
        .map((refusal) => {
          const item = document.createElement("li");
          item.textContent = refusal.sentence;
          item.className =
            "rounded-default px-3 py-2 " +
            (refusal.is_warning
              ? "bg-blue-100 text-blue-700 dark:bg-blue-500/20 dark:text-blue-400"
              : "bg-red-100 text-red-700 dark:bg-red-500/20 dark:text-red-400");
          return item;
        })
    );
  }

  // Answers may come in another order than they were asked for.
  let asked = 0;

  async function count() {
    const number = ++asked;
    if (!box.value.trim()) {
      out.textContent = "";
      return;
    }
    try {
      const answer = await fetch(data.preflight + encodeURIComponent(box.value), { headers });
      if (number !== asked) {
        return;
      }
      if (!answer.ok) {
        // Too long to be asked about; otherwise nothing is known of it.
        const isLong = [...box.value].length > data.max_length;
        out.textContent = isLong ? "over " + data.max_length : "";
        out.classList.toggle("text-red-600", isLong);
        return;
      }
      const body = await answer.json();
      if (number !== asked) {
        return;
      }
      out.textContent = body.weighted_length + " / " + body.max_weighted_length;
      out.classList.toggle("text-red-600", body.weighted_length > body.max_weighted_length);
      hint(document.getElementById("desk-hints"), body);
    } catch (error) {
      out.textContent = "";
    }
  }

  const fields = ["desk-text", "desk-dm-text", "desk-prompt"]
    .map((id) => document.getElementById(id))
    .filter(Boolean);
  // What is saved; a text that was typed and not used yet stands in its field, too.
  const saved = fields.map((field) => field.dataset.saved || "");

  // A session that had ended loses what was sent: it is there again after the sign-in.
  const place = "desk " + location.pathname;
  const sent = JSON.parse(sessionStorage.getItem(place) || "{}");
  sessionStorage.removeItem(place);
  if (document.referrer && new URL(document.referrer).pathname === data.login) {
    const lost = fields.filter((field) => sent[field.id] && sent[field.id] !== field.value);
    for (const field of lost) {
      field.value = sent[field.id];
    }
    if (lost.length) {
      const note = document.createElement("p");
      note.setAttribute("role", "status");
      note.className =
        "rounded-default px-3 py-2 bg-blue-100 text-blue-700 dark:bg-blue-500/20 dark:text-blue-400";
      note.textContent =
        "Your session had ended: what you typed is here again, and nothing was saved.";
      document.getElementById("desk-form").prepend(note);
    }
  }

  // The page's other forms send along what was typed, so that it is there again afterwards.
  for (const form of document.querySelectorAll(".autores-desk form")) {
    form.addEventListener("submit", () => {
      const typed = Object.fromEntries(fields.map((field) => [field.id, field.value]));
      sessionStorage.setItem(place, JSON.stringify(typed));
      for (const hidden of form.querySelectorAll("[data-typed]")) {
        const field = document.getElementById(hidden.dataset.typed);
        hidden.disabled = Boolean(hidden.dataset.typed) && (!field || field.form === form);
        if (field) {
          hidden.value = field.value;
        }
      }
    });
  }

  // Look for X's word and show it, unless somebody is writing.
  if (data.under_way.length) {
    setInterval(async () => {
      for (const [url, state] of data.under_way) {
        const answer = await fetch(url, { headers });
        const isWriting = fields.some((field, index) => field.value !== saved[index]);
        if (answer.ok && (await answer.json()).state !== state && !isWriting) {
          location.reload();
        }
      }
    }, 3000);
  }

  // Whether the author takes messages is asked of X, and billed: only when somebody wants to.
  const messages = document.getElementById("desk-dm");
  if (messages) {
    messages.addEventListener("toggle", async () => {
      if (!messages.open) {
        return;
      }
      const answer = await fetch(data.dm_preflight, { headers });
      if (answer.ok) {
        const body = await answer.json();
        body.refusals = body.refusals.filter((refusal) => refusal.code === "recipient_closed");
        hint(document.getElementById("dm-hints"), body);
      }
    });
  }

  if (box) {
    let timer = null;
    box.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(count, 300);
    });
    count();
  }
})();
