// No page view but those that the page sends.
manual = true;
