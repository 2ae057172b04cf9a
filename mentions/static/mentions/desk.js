// The desk: how long the text is for X, and a look at whether a reply under way has arrived.
(function () {
  const data = JSON.parse(document.getElementById("desk-data").textContent);
  const box = document.getElementById("desk-text");
  const out = document.getElementById("desk-count");
  const headers = { Accept: "application/json" };

  async function count() {
    if (!box.value.trim()) {
      out.textContent = "";
      return;
    }
    try {
      const answer = await fetch(data.preflight + encodeURIComponent(box.value), { headers });
      if (!answer.ok) {
        return;
      }
      const body = await answer.json();
      out.textContent = body.weighted_length + " / " + body.max_weighted_length;
      out.classList.toggle("text-red-600", body.weighted_length > body.max_weighted_length);
    } catch (error) {
      out.textContent = "";
    }
  }

  // Look for X's word and show it, unless somebody is writing.
  const first = box ? box.value : "";
  if (data.under_way.length) {
    setInterval(async () => {
      for (const [url, state] of data.under_way) {
        const answer = await fetch(url, { headers });
        if (answer.ok && (await answer.json()).state !== state && (!box || box.value === first)) {
          location.reload();
        }
      }
    }, 3000);
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
