// They have none any more (identity daily).
guard(() => { delete localStorage.footfall_visitor; })();
