// The site honours the browser's wish: nothing is sent at all.
if (navigator.globalPrivacyControl || navigator.doNotTrack === '1') off = true;
