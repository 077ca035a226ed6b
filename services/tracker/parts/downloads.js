// Clicks on links to files, told by Plausible's list of extensions.
onLink((link) => {
  if (/\.(pdf|xlsx|docx|txt|rtf|csv|exe|key|pps|pptx?|7z|pkg|rar|gz|zip|avi|mov|mp[34]|mpeg|wmv|midi|wav|wma|dmg)$/i.test(link.pathname))
    send('File Download', { props: { url: link.origin + link.pathname } });
});
