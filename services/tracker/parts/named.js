// The script of no site in particular: its tag names the site, or several.
site = option.property || option.domain;
