echo ^& %PATH% > nul
