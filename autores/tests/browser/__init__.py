"""The admin and the browsable API as a person meets them: in Chromium, over HTTP."""
