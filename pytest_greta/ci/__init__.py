"""What failed, as CI servers read it: annotations of GitHub, Code Quality of GitLab."""
